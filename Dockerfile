# mediround on the CPU:
#
#     docker build -t mediround .
#     docker run -p 8000:8000 -v mediround:/data -e MEDIROUND_TOKEN=… mediround
#
# On NVIDIA hardware: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130, or
# Dockerfile.cuda's defaults. Research use only, not a medical device.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/mediround
ENV PATH=/opt/mediround/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --extra-index-url "${TORCH_INDEX}" -c constraints.txt '.[dicomweb,postgres]'
# The weights are part of the image: a container starts without a network.
ENV MEDIROUND_HOME=/opt/mediround/home
RUN mediround weights pull smollm2-135m-instruct lite-medsam sample-ct sample-dicom sample-brain

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/mediround /opt/mediround
ENV PATH=/opt/mediround/bin:$PATH \
    MEDIROUND_HOME=/opt/mediround/home \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --create-home mediround \
    && install --directory --owner mediround --group mediround /data
USER 10001
VOLUME /data
EXPOSE 8000
# Everything but loopback asks for a token: MEDIROUND_TOKEN, or `--token auto` to have one made.
ENTRYPOINT ["mediround"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--data-dir", "/data"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
