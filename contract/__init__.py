"""What both sides of the queue agree on.

    schemas   the request and the report (pydantic)      blobs   immutable files
    jobs      the SQL job record, the source of truth    keys    API keys
    queue     Celery carries job ids only                settings

Imports neither FastAPI, torch nor hpcore.
"""
