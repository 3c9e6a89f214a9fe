"""The process that computes: claim → read inputs → hpcore → report.

poll         waits for jobs in the database            app        the same, woken by Celery
dispatch     announces jobs to the broker              runner     claim → child process → heartbeat → commit
child        the computing process                     analysis   schemas ↔ hpcore
activations  a file as labels and layers               npz, safetensors_file   the two formats
models       models that jobs name                  sandbox    the fence around the process that runs them
findings     what a report says, in sentences
"""
