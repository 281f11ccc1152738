"""Checks that the worker of this Pod responds through the queue. Celery's own command would load all of Superset."""

import socket
import sys

from celery import Celery

import superset_config

worker = f"celery@{socket.gethostname()}"
app = Celery(broker=superset_config.CeleryConfig.broker_url)
if not app.control.inspect(destination=[worker], timeout=20).ping():
    sys.exit(f"error: {worker} does not respond through the queue")
