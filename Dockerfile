# MOrA as an image: `docker build -t mora:0.1.0 .`, then `docker run --rm mora:0.1.0 --help`. By default it has every extra
# (2.9 GB). Without any it is small, and is all that `mora recommend` and `mora vpa-recommender` need:
#   docker build --build-arg EXTRAS= -t mora:0.1.0-slim .
# What is installed is what requirements.lock pins; nothing runs as root, and nothing needs to write but /tmp and
# the working directory (the manifests mount both, over a read-only root).

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/mora
# The packages first: they change less often than MOrA does, and their layer is the large one.
COPY pyproject.toml requirements.lock README.md LICENSE ./
ARG EXTRAS="train collect sandbox parquet dask"
RUN /opt/mora/bin/python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; extras = [project['optional-dependencies'][name] for name in '$EXTRAS'.split()]; print(*(one for some in [project['dependencies'], *extras] for one in some if not one.startswith(project['name'])), sep='\n')" > asked.txt \
 && /opt/mora/bin/pip install --constraint requirements.lock --requirement asked.txt hatchling
COPY mora ./mora
COPY experiments/scenarios ./experiments/scenarios
COPY experiments/plans ./experiments/plans
RUN /opt/mora/bin/pip install --no-deps --no-build-isolation . \
 && /opt/mora/bin/pip uninstall --yes hatchling \
 && /opt/mora/bin/pip check \
 && /opt/mora/bin/python -m compileall -q /opt/mora

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="mora" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/mora /opt/mora
# A number, so that Kubernetes can tell that it is not root; it owns nothing of what runs.
USER 65532:65532
ENV PATH=/opt/mora/bin:$PATH HOME=/tmp MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /mora
ENTRYPOINT ["mora"]
CMD ["--help"]
