# The connector as an image: `docker build --tag airbyte/source-amplitude:dev .`
ARG BASE_IMAGE=docker.io/airbyte/python-connector-base:4.1.0

FROM ${BASE_IMAGE} AS build
USER root
WORKDIR /build
COPY requirements/runtime.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY source_amplitude ./source_amplitude
RUN python -m venv --system-site-packages /builder && /builder/bin/pip install --no-cache-dir hatchling \
    && /builder/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
    && /venv/bin/pip uninstall --yes pip

FROM ${BASE_IMAGE}
ARG VERSION=1.0.0
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH AIRBYTE_ENTRYPOINT="source-amplitude"
LABEL io.airbyte.name=airbyte/source-amplitude io.airbyte.version=${VERSION}
USER airbyte
WORKDIR /airbyte
ENTRYPOINT ["source-amplitude"]
