# Images of Interlayer. Build one with: docker build --target service|worker-cpu|worker-cuda -t interlayer-… .
# Dependencies are installed before the code is copied, so that a change of code rebuilds in seconds.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    INTERLAYER_DATA_DIR=/data
# The same user in every image: service and workers share the volume.
RUN groupadd --gid 10001 interlayer \
    && useradd --uid 10001 --gid interlayer --create-home --home-dir /home/interlayer interlayer \
    && install --directory --owner interlayer --group interlayer --mode 0700 /data
WORKDIR /app

FROM base AS code
COPY pyproject.toml README.md LICENSE ./
COPY contract contract
COPY hpcore hpcore
COPY interlayer interlayer
COPY service service
COPY worker worker
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM base AS service
# Text in charts that are drawn as PNG.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
COPY requirements/service.txt requirements.txt
RUN pip install --require-hashes --requirement requirements.txt
COPY --from=code /wheels /wheels
RUN pip install --no-deps /wheels/*.whl
USER 10001:10001
EXPOSE 8000
ENV INTERLAYER_HOST=0.0.0.0
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["python", "-m", "service.app"]

FROM base AS worker-cpu
COPY requirements/worker.txt requirements.txt
RUN pip install --require-hashes --requirement requirements.txt
# The CPU build of torch is in an index of its own; what it requires is in worker.txt.
ARG TORCH_VERSION=2.13.0
RUN pip install --no-deps --index-url https://download.pytorch.org/whl/cpu "torch==${TORCH_VERSION}"
COPY --from=code /wheels /wheels
RUN pip install --no-deps /wheels/*.whl
USER 10001:10001
# Compiled kernels are kept between starts where this is a volume.
ENV NUMBA_CACHE_DIR=/tmp/numba
CMD ["python", "-m", "worker.app", "--concurrency", "1"]

# The CUDA build of torch brings the CUDA libraries; the host needs the NVIDIA driver and container toolkit only.
FROM base AS worker-cuda
COPY requirements/worker-cuda.txt requirements.txt
RUN pip install --require-hashes --requirement requirements.txt
COPY --from=code /wheels /wheels
RUN pip install --no-deps /wheels/*.whl
USER 10001:10001
ENV NUMBA_CACHE_DIR=/tmp/numba \
    INTERLAYER_QUEUES=gpu,cpu
CMD ["python", "-m", "worker.app", "--concurrency", "1"]
