# The connector as an image; `make image` builds it.
ARG BASE_IMAGE=docker.io/airbyte/python-connector-base:4.1.0

FROM ${BASE_IMAGE} AS build
USER root
WORKDIR /build
# pip and hatchling stay in an environment of their own, which is left behind with this stage.
RUN python -m venv /builder && python -m venv --without-pip /venv
COPY requirements/build.txt requirements/runtime.txt ./
RUN /builder/bin/pip install --quiet --no-cache-dir --require-hashes -r build.txt \
    && /builder/bin/pip --python /venv/bin/python install --quiet --no-cache-dir --no-compile --require-hashes -r runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY source_amplitude ./source_amplitude
RUN /builder/bin/python -m hatchling build --target wheel \
    && /builder/bin/pip --python /venv/bin/python install --quiet --no-cache-dir --no-compile --no-index --no-deps dist/*.whl \
    && find /venv/lib -type d -name tests -prune -exec rm -r {} + \
    && /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib

FROM ${BASE_IMAGE}
ARG VERSION=1.1.0
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH AIRBYTE_ENTRYPOINT="source-amplitude"
LABEL io.airbyte.name=ghcr.io/source-amplitude/source-amplitude io.airbyte.version=${VERSION} \
    org.opencontainers.image.source=https://github.com/source-amplitude/source-amplitude org.opencontainers.image.licenses=MIT
# Docker's Python images lack byte code of the standard library; a first start here writes what is needed.
USER root
RUN source-amplitude spec > /dev/null
USER airbyte
WORKDIR /airbyte
ENTRYPOINT ["source-amplitude"]
