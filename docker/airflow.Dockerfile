# An Airflow with this provider, for compose.airflow.yaml.

ARG AIRFLOW_VERSION

FROM apache/airflow:${AIRFLOW_VERSION}-python3.12
ARG AIRFLOW_VERSION
COPY --chown=airflow:0 pyproject.toml README.md LICENSE /tmp/provider/
COPY --chown=airflow:0 airflow_provider_partition_registry /tmp/provider/airflow_provider_partition_registry
# Named again, so that pip keeps the Airflow that is there.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" /tmp/provider
