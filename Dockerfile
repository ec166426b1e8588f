# The service on CPUs: docker build -t votecast . ; README.md, "Images", says how it is run.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements/dev.txt requirements/
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN python3 -m venv /opt/hatch && \
    /opt/hatch/bin/pip install --no-cache-dir --constraint requirements/dev.txt hatchling && \
    /opt/hatch/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels .
RUN python3 -m venv /opt/votecast && \
    /opt/votecast/bin/pip install --no-cache-dir --constraint requirements/dev.txt "$(echo wheels/votecast-*.whl)[serve]"

FROM ${PYTHON_IMAGE}
RUN apt-get update && \
    apt-get install --yes --no-install-recommends libgomp1 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin votecast
COPY --from=build /opt/votecast /opt/votecast
ENV PATH=/opt/votecast/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache
WORKDIR /judges
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["votecast"]
CMD ["serve", "--host", "0.0.0.0"]
