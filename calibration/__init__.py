"""Simulations of the tests of hpcore: do they reject as often as they say, and how often where they should?

    scenarios   activations with a known truth          chart   the picture
    simulate    rejections, standard errors, coverage   page    docs/calibration.md

``python -m calibration`` runs all of it; nothing here is needed to analyse a network.
"""
