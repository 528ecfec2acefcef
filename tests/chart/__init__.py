"""The Helm chart, judged by Helm, by Kubernetes' own schemas and by the bridge's settings."""
