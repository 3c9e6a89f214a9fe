"""Interlayer: how every layer of a network changes class separation.

    client     talk to a service            record   record the activations of a PyTorch model
    local      analyse without a service    stack    a whole service on one machine
    render     a report as a table, a page, a file

The command `interlayer` does all of it from a shell.
"""
