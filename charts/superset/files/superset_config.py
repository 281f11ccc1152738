"""Differences of this installation of Superset from the defaults of superset/config.py.

`settings.json`, beside this file, contains the values of the chart. Secrets are files. The text of the value
`config.extra` is appended at the end and takes precedence.
"""

import hashlib
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from urllib.parse import quote

SECRETS = Path(os.environ.get("LASTACK_SECRETS", "/etc/lastack/superset"))
SETTINGS = json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))


def secret(name):
    value = (SECRETS / name).read_text(encoding="utf-8").strip("\r\n")
    if not value:
        raise ValueError(f"{SECRETS / name} is empty: the Secret has the key, but no value")
    return value


def derived(purpose):
    """A key for another purpose, so that Superset's well-known default keys sign nothing."""
    return hashlib.sha256(f"{purpose}:{SECRET_KEY}".encode()).hexdigest()


# --- Keys and the metadata database ---
SECRET_KEY = secret("secret-key")
GUEST_TOKEN_JWT_SECRET = derived("guest token")
GLOBAL_ASYNC_QUERIES_JWT_SECRET = derived("asynchronous queries")

DATABASE = SETTINGS["database"]
# SQLAlchemy decodes user and password, but not the name of the database
SQLALCHEMY_DATABASE_URI = (
    f"postgresql+psycopg2://{quote(DATABASE['user'], safe='')}:{quote(secret('database-password'), safe='')}"
    f"@{DATABASE['host']}:{DATABASE['port']}/{DATABASE['name']}?sslmode={DATABASE['sslMode']}"
)
if DATABASE["caFile"]:
    SQLALCHEMY_DATABASE_URI += f"&sslrootcert={DATABASE['caFile']}"
# Superset checks whether PostgreSQL closed a connection before using it
SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 5, "max_overflow": 10}

# --- Rows ---
# The driver for Elasticsearch SQL cuts a result at 10,000 rows without a message. With the same limit here Superset shows
# "row limit reached" on such a chart.
ROW_LIMIT = 10_000
SQL_MAX_ROW = 10_000
DISPLAY_MAX_ROW = 10_000
TABLE_VIZ_MAX_ROW_SERVER = 10_000
FILTER_SELECT_ROW_LIMIT = 10_000
SUPERSET_WEBSERVER_TIMEOUT = SETTINGS["timeout"]

# --- Browsers: through a port-forward (plain HTTP, no proxy), a load balancer or an Ingress ---
ENABLE_PROXY_FIX = True
SESSION_COOKIE_SECURE = SETTINGS["secureCookies"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
WTF_CSRF_ENABLED = True
# Nothing is visible without a login
PUBLIC_ROLE_LIKE = None
# A classroom can share one address. Each process counts separately: with a count in Valkey, every page and the probes would fail
# while Valkey is down.
RATELIMIT_APPLICATION = "1000 per second"
RATELIMIT_STORAGE_URI = "memory://"
ENABLE_CORS = False
# The browser loads everything from Superset: no external fonts, map tiles or usage counting (Scarf)
THEME_FONT_URL_ALLOWED_DOMAINS = []
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}

# --- Features ---
FEATURE_FLAGS = {
    # The worker sends alerts and reports when beat schedules them
    "ALERT_REPORTS": SETTINGS["reports"],
    # It selects every column, and Elasticsearch SQL rejects columns with arrays
    "DRILL_TO_DETAIL": False,
    # Gives access without an account, which this stack does not offer
    "EMBEDDABLE_CHARTS": False,
    **SETTINGS["featureFlags"],
}
LOG_LEVEL = SETTINGS["logLevel"]
# Retention of the log of visits and changes; no page of Superset shows older entries
LOG_DAYS = 365
# A warning of SQLAlchemy in every process about a driver, with no remedy here
warnings.filterwarnings("ignore", message="Dialect elasticsearch:rest will not make use of SQL compilation caching")

# --- Less work for each chart, and charts as the limit of what a teacher reads ---
# Only in Superset itself: scripts that read this file would load all of Superset
if "superset.config" in sys.modules:
    import lastack_access
    import lastack_lean

    EVENT_LOGGER = lastack_lean.Visits()
    CUSTOM_SECURITY_MANAGER = lastack_access.SecurityManager

# --- Caches ---
# Maximum age of the data of a chart. Without Valkey each process has a small cache of its own.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
if SETTINGS["cacheSeconds"] > 0:
    DATA_CACHE_CONFIG = {
        "CACHE_TYPE": "SimpleCache",
        "CACHE_THRESHOLD": 100,
        "CACHE_DEFAULT_TIMEOUT": SETTINGS["cacheSeconds"],
    }
# Nothing runs in the background without a broker
CELERY_CONFIG = None

if SETTINGS["cache"]:
    from cachelib.redis import RedisCache
    from celery.schedules import crontab
    from flask_caching.backends.rediscache import RedisCache as FlaskRedisCache
    from redis.exceptions import RedisError

    CACHE_HOST, CACHE_PORT, CACHE_PASSWORD = SETTINGS["cache"]["host"], SETTINGS["cache"]["port"], secret("cache-password")

    def cache_url(number):
        return f"redis://:{quote(CACHE_PASSWORD, safe='')}@{CACHE_HOST}:{CACHE_PORT}/{number}"

    class ForgivingCache(FlaskRedisCache):
        """Without Valkey Superset queries the data lake each time, which is slower but works."""

        def forgive(self, ask, *arguments):
            try:
                return ask(*arguments)
            except RedisError as error:
                logging.getLogger(__name__).warning("Valkey does not respond: %s", error)
                return None

        def get(self, key):
            return self.forgive(super().get, key)

        def set(self, key, value, timeout=None):
            return self.forgive(super().set, key, value, timeout)

        def has(self, key):
            return self.forgive(super().has, key)

        def delete(self, key):
            return self.forgive(super().delete, key)

    def redis_cache(prefix, seconds):
        return {
            "CACHE_TYPE": "superset_config.ForgivingCache",
            "CACHE_REDIS_URL": f"{cache_url(1)}?socket_timeout=2&socket_connect_timeout=2",
            "CACHE_KEY_PREFIX": f"superset-{prefix}-",
            "CACHE_DEFAULT_TIMEOUT": seconds,
        }

    class CeleryConfig:
        broker_url = cache_url(0)
        result_backend = cache_url(0)
        imports = ("superset.sql_lab", "superset.tasks.scheduler", "superset.tasks.cache", "superset.tasks.thumbnails")
        broker_connection_retry_on_startup = True
        worker_prefetch_multiplier = 1
        task_acks_late = False
        result_expires = 86_400
        beat_schedule = {
            "reports.scheduler": {"task": "reports.scheduler", "schedule": crontab(), "options": {"expires": 3600}},
            "reports.prune_log": {"task": "reports.prune_log", "schedule": crontab(minute=0, hour=0)},
            "prune_logs": {"task": "prune_logs", "schedule": crontab(minute=10, hour=0), "kwargs": {"retention_period_days": LOG_DAYS}},
        }

    CELERY_CONFIG = CeleryConfig
    CACHE_CONFIG = redis_cache("metadata", 86_400)
    if SETTINGS["cacheSeconds"] > 0:
        DATA_CACHE_CONFIG = redis_cache("data", SETTINGS["cacheSeconds"])
    RESULTS_BACKEND = RedisCache(
        host=CACHE_HOST, port=CACHE_PORT, password=CACHE_PASSWORD, db=2, key_prefix="superset-results-", default_timeout=86_400
    )
    # The address of the web server for the worker, and the address in the links of a report
    WEBDRIVER_BASEURL = SETTINGS["webUrl"]
    WEBDRIVER_BASEURL_USER_FRIENDLY = SETTINGS["publicUrl"]
