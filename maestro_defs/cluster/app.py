"""The Celery application that launcher and workers share: one task, which names a run."""

from __future__ import annotations

from typing import Any

from celery import Celery  # type: ignore[import-untyped]  # Celery has no annotations.
from dagster_celery.make_app import make_app
from kombu.exceptions import ChannelError

QUEUE = "maestro"
TASK = "maestro.run"
_VISIBLE_SECONDS = 600
"""After which Redis gives a message to another worker when its own has not said that it is done with it."""


def celery_settings(queue: str, transport: dict[str, Any] | None = None) -> dict[str, Any]:
    """Celery's settings: a worker takes a message when it has a place, and acknowledges it afterwards."""
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": queue,
        "task_create_missing_queues": True,
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": False,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {"visibility_timeout": _VISIBLE_SECONDS, "socket_timeout": 30, **(transport or {})},
    }


def open_app(broker: str, queue: str = QUEUE) -> Celery:
    """The application at ``broker``, as dagster-celery makes it."""
    return make_app(  # type: ignore[no-untyped-call]  # dagster-celery's is.
        app_args={"broker": broker, "config_source": celery_settings(queue)}
    )


def waiting_messages(app: Celery, queue: str) -> int:
    """How many messages no worker has taken yet.

    Raises:
        OSError or a kombu error: the broker does not answer.
    """
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        try:
            return int(connection.default_channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError as error:
            if str(error.reply_code) == "404":
                return 0  # Redis has no empty lists.
            raise
