# One image for all processes: `docker compose up --build`, or `docker build --tag tickhouse .`
# The last stage has no build tools and no pip. It runs as user 10001 and needs no writable root file system.
ARG PYTHON_IMAGE=python:3.13.15-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv --without-pip /opt/tickhouse
COPY requirements.txt ./
RUN python -m pip --python /opt/tickhouse/bin/python install --only-binary :all: --require-hashes --requirement requirements.txt
# The project itself is a pointer to /app/src, because the processes run from the checkout's folders (sql, resources).
# poetry-core, which makes the pointer, is locked with the dev tools and leaves again.
COPY requirements-dev.txt pyproject.toml README.md LICENSE ./
COPY src src
RUN sed -n '/^poetry-core==/,/[^\\]$/p' requirements-dev.txt >build.txt \
 && python -m pip --python /opt/tickhouse/bin/python install --require-hashes --requirement build.txt \
 && python -m pip --python /opt/tickhouse/bin/python install --no-deps --no-build-isolation --editable . \
 && python -m pip --python /opt/tickhouse/bin/python uninstall --yes poetry-core \
 && /opt/tickhouse/bin/python -m compileall -q /opt/tickhouse/lib src

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title=tickhouse org.opencontainers.image.licenses=MIT
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
 && groupadd --gid 10001 tickhouse \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tickhouse \
 && install -d -o tickhouse -g tickhouse /spool /lake
ENV PATH=/opt/tickhouse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SPOOL_DIR=/spool
WORKDIR /app
COPY --from=build /opt/tickhouse /opt/tickhouse
COPY --from=build /app/src src
COPY pyproject.toml LICENSE ./
COPY sql sql
COPY resources resources
USER 10001:10001
# Which process runs is said by the command, and what "alive" means differs: docker-compose.yml has the health checks.
CMD ["tickhouse", "--help"]
