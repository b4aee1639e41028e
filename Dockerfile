# One image for all processes: `docker compose up --build`, or `docker build --tag tickhouse .`
# The last stage has no build tools and no pip. It runs as user 10001 and needs no writable root file system.
ARG PYTHON_IMAGE=python:3.13.15-slim-bookworm@sha256:2325bb286ec344af3e5898cc224b5844e2707ac6e26b1632516fd3edc84a5e26

FROM ${PYTHON_IMAGE} AS build
ARG REQUIREMENTS=requirements.txt
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv --without-pip /opt/tickhouse
COPY requirements.txt requirements-demo.txt requirements-build.txt ./
RUN python -m pip --python /opt/tickhouse/bin/python install --no-deps --only-binary :all: --require-hashes --requirement ${REQUIREMENTS} \
 && python -m pip install --no-deps --only-binary :all: --require-hashes --requirement requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY sql sql
COPY resources resources
COPY src src
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/tickhouse/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title=tickhouse org.opencontainers.image.licenses=MIT
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
 && groupadd --gid 10001 tickhouse \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tickhouse \
 && install -d -o tickhouse -g tickhouse /spool /lake
ENV PATH=/opt/tickhouse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SPOOL_DIR=/spool
WORKDIR /app
COPY --from=build /opt/tickhouse /opt/tickhouse
# What docker-compose.yml runs or mounts by its path; the processes read their own files out of the wheel.
COPY resources resources
USER 10001:10001
# Which process runs is said by the command, and what "alive" means differs: docker-compose.yml has the health checks.
CMD ["tickhouse", "--help"]
