"""The web process: accepts files and requests, writes them down, and answers from the database.

    app      the application          routes_*   one file a resource
    deps     who asks, and the stores  errors     every error as application/problem+json
    pages    what people see in a browser; sessions: how they are signed in
    bodies   size limits               formats    which file format the first bytes announce

It computes nothing and opens no tensor.
"""
