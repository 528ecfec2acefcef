{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "bridge.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ include "bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "bridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bridge.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bridge.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where the management API listens; the bridge's own default is the same. */}}
{{- define "bridge.listen" -}}
{{- (.Values.config.http).listen | default "127.0.0.1:8080" -}}
{{- end -}}

{{/* Port of probes and metrics. */}}
{{- define "bridge.probesPort" -}}
{{- (.Values.config.http).probes | default (include "bridge.listen" .) | toString | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* Port of the management API where others than this pod can reach it, and it isn't the probes' own. */}}
{{- define "bridge.managementPort" -}}
{{- $listen := include "bridge.listen" . -}}
{{- $port := regexFind "[0-9]+$" $listen -}}
{{- if not (or (regexMatch `^(127\.|localhost:|\[::1\])` $listen) (eq $port (include "bridge.probesPort" .))) -}}
{{- $port -}}
{{- end -}}
{{- end -}}

{{/* The most workers that autoscaling may want: a list of the context and the configured number. */}}
{{- define "bridge.maxReplicas" -}}
{{- $values := index . 0 -}}
{{- min (index . 1) ($values.config.lanes | default 8) -}}
{{- end -}}

{{- define "bridge.minReplicas" -}}
{{- min (index . 1) (include "bridge.maxReplicas" (list (index . 0) (index . 2))) -}}
{{- end -}}

{{/* "yes" where a value of the configuration is a secret in the open; takes a mapping. */}}
{{- define "bridge.holdsSecret" -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- if and (has $key (list "headers" "extra_parameters")) $value -}}yes{{- end -}}
{{- include "bridge.holdsSecret" $value -}}
{{- else if and $value (not (hasSuffix "_file" $key)) -}}
{{- if regexMatch `password|secret|passphrase|(^|_)token$|(^|_)key$|\.pem$|oauthbearer\.config` $key -}}yes{{- end -}}
{{- if regexMatch `^[a-z+]+://[^/]*@` (toString $value) -}}yes{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bridge.configKind" -}}
{{- if include "bridge.holdsSecret" .Values.config -}}Secret{{- else -}}ConfigMap{{- end -}}
{{- end -}}

{{/* What every pod of the bridge has: its environment, its files. */}}
{{- define "bridge.environment" -}}
{{- with .Values.extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "bridge.volumeMounts" -}}
volumeMounts:
  - {name: config, mountPath: /etc/ccaas-kafka-bridge, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- range .Values.secretMounts }}
  - {name: {{ printf "secret-%s" .name }}, mountPath: {{ printf "/run/secrets/%s" .name }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "bridge.volumes" -}}
volumes:
  - name: config
    {{- if eq (include "bridge.configKind" .) "Secret" }}
    secret: {secretName: {{ include "bridge.fullname" . }}, defaultMode: 0440}
    {{- else }}
    configMap: {name: {{ include "bridge.fullname" . }}}
    {{- end }}
  - name: tmp
    emptyDir: {sizeLimit: {{ .Values.tmpSizeLimit }}}
  {{- range .Values.secretMounts }}
  - name: {{ printf "secret-%s" .name }}
    secret: {secretName: {{ .secretName }}, defaultMode: 0440}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
