# Smart Monitor in an image: pages, worker, broker and command lines, by what is started in it; compose.yaml does.
# Never built where this project is tested, which has no container engine: docs/deploy.md says what was checked.

FROM debian:12-slim AS packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/smart-monitor
COPY requirements.txt ./
COPY .ci/constraints.txt .ci/constraints.txt
RUN python3 -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --prefer-binary -r requirements.txt \
    && .venv/bin/python -m pip uninstall --yes pip setuptools

# The same Debian, so that the environment finds its Python at the same place; no pip, no compiler.
FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 mosquitto \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin smart-monitor \
    && install -d -m 700 -o smart-monitor -g smart-monitor /data
WORKDIR /opt/smart-monitor
COPY --from=packages /opt/smart-monitor/.venv .venv
COPY app.py runtime.py settings.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY pages pages
COPY api api
COPY ingest ingest
COPY db db
COPY broker broker
COPY firmware firmware
COPY docs/deploy/container.sh docs/deploy/container.sh
# Written now, since nothing but /data can be later.
RUN .venv/bin/python -m compileall -q -x '[.]venv|firmware/(lib|stm32|esp8266|host)' .
ENV DATA_DIR=/data HOST=0.0.0.0 PATH=/opt/smart-monitor/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER smart-monitor
VOLUME /data
EXPOSE 8501
# Of the pages; compose.yaml has that of the others.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:8501' + os.environ.get('BASE_PATH', '') + '/api/health/', timeout=4)"]
ENTRYPOINT ["docs/deploy/container.sh"]
CMD ["app.py"]
