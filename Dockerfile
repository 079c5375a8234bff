# MOrA as an image, in two targets:
#   docker build --target slim -t mora:0.1.0-slim .    recommend from history, explain, backtest, serve, mcp, vpa-recommender
#   docker build -t mora:0.1.0 .                       these, and training, load experiments, the sandbox (the target full)
# What is installed is what requirements.lock pins; nothing runs as root, and nothing needs to write but /tmp and
# the working directory (the manifests mount both, over a read-only root).

# The packages first: they change less often than MOrA does, and their layers are the large ones.
FROM python:3.11-slim-bookworm AS packages-slim
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/mora
COPY pyproject.toml requirements.lock README.md LICENSE scripts/packages.py ./
ARG SLIM="serve mcp"
RUN python packages.py > base.txt && python packages.py $SLIM > slim.txt \
 && /opt/mora/bin/pip install --constraint requirements.lock --requirement base.txt --requirement slim.txt

FROM packages-slim AS packages-full
ARG FULL="train collect sandbox parquet dask optimize health models tune drift mlflow cloud-gcp cloud-aws cloud-azure"
RUN python packages.py $FULL > full.txt \
 && /opt/mora/bin/pip install --constraint requirements.lock --requirement full.txt

FROM packages-slim AS wheel
RUN /opt/mora/bin/pip install --constraint requirements.lock hatchling
COPY mora ./mora
COPY experiments/scenarios ./experiments/scenarios
COPY experiments/plans ./experiments/plans
COPY experiments/chaos ./experiments/chaos
RUN /opt/mora/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

FROM packages-slim AS build-slim
COPY --from=wheel /wheel /wheel
RUN /opt/mora/bin/pip install --no-deps /wheel/*.whl \
 && /opt/mora/bin/pip check \
 && /opt/mora/bin/python -m compileall -q /opt/mora

FROM packages-full AS build-full
COPY --from=wheel /wheel /wheel
RUN /opt/mora/bin/pip install --no-deps /wheel/*.whl \
 && /opt/mora/bin/pip check \
 && /opt/mora/bin/python -m compileall -q /opt/mora

FROM python:3.11-slim-bookworm AS runtime
LABEL org.opencontainers.image.title="mora" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that Kubernetes can tell that it is not root; it owns nothing of what runs.
USER 65532:65532
ENV PATH=/opt/mora/bin:$PATH HOME=/tmp MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /mora
ENTRYPOINT ["mora"]
CMD ["--help"]

FROM runtime AS slim
COPY --from=build-slim /opt/mora /opt/mora

FROM runtime AS full
COPY --from=build-full /opt/mora /opt/mora
