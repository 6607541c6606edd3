# One image for every Airflow component of docker-compose.yaml.
# The Python is the one that the tests run on; requirements.txt pins every package with its hashes, and only wheels are
# taken, so nothing is compiled and no package runs code while it installs.
FROM python:3.11.14-slim-bookworm AS packages
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r /tmp/requirements.txt \
    && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv

FROM python:3.11.14-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/dynatrail/include \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/dynatrail
COPY include include
COPY dags dags
COPY plugins plugins
COPY sql sql
# Evidence names the lock and the commit that it was made with.
COPY requirements.txt requirements.txt
ARG GIT_COMMIT=""
ENV DYNATRAIL_GIT_COMMIT=$GIT_COMMIT
# A new named volume takes owner and mode from this folder; group 0 may write, so any user of that group can run here.
RUN install -d -o 50000 -g 0 -m 0770 /var/lib/dynatrail
VOLUME /var/lib/dynatrail
USER 50000:0
CMD ["airflow", "version"]
