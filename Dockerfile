# syntax=docker/dockerfile:1
# The bridge from its lock files: dependencies by their hashes, and nothing else. Its user has no name and needs no shell.
#   docker build -t ccaas-kafka-bridge .
#   docker run --read-only --tmpfs /tmp -v "$PWD/bridge.yaml:/etc/ccaas-kafka-bridge/bridge.yaml:ro" ccaas-kafka-bridge
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/bridge
COPY requirements.lock requirements-build.lock ./
RUN /opt/bridge/bin/pip install --require-hashes --only-binary=:all: -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --only-binary=:all: -r requirements-build.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY connector connector
ARG REVISION=unknown
ENV CCAAS_REVISION=${REVISION}
# without isolation: the build backend is the locked one, too
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /dist \
 && /opt/bridge/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/bridge/bin/python -m compileall -q /opt/bridge/lib \
 && /opt/bridge/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ccaas-kafka-bridge" \
      org.opencontainers.image.description="Contact-centre event streams into Kafka: exactly once, in order" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/bridge /opt/bridge
ENV PATH=/opt/bridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Where http.listen or http.probes is elsewhere, set CCAAS_PROBE; orchestrators have probes of their own.
ENV CCAAS_PROBE=http://127.0.0.1:8080/health/live
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as http; http.urlopen(os.environ['CCAAS_PROBE'], timeout=4)"]
ENTRYPOINT ["ccaas-bridge"]
CMD ["run", "-c", "/etc/ccaas-kafka-bridge/bridge.yaml", "--log-json"]
