"""The policy that `interlayer policy init` writes: a start, with a word about everything."""

TEMPLATE = """\
# What a network must show before a build may pass: interlayer audit --policy interlayer.yaml …
version: 1
alpha: 0.05               # level of every rule, adjusted by Holm over the layers it judges
min_per_class: 32         # with fewer rows of a class there is no test: inconclusive
on_inconclusive: fail     # fail (exit 3), warn or pass
# repeat: 5               # analyse also five disjoint parts of the rows; a violation must show in every one
# baseline: baseline.json # or the name of a baseline on the server

rules:
  - id: learned
    description: The last layer separates the classes on data that it was not trained on.
    check: separation
    layers: last
    split: validation
    at_least: 0.80
    tolerance: 0.02

  - id: no-collapsed-pair
    description: No two classes are mixed up at the last layer, on these very rows.
    check: separation
    layers: last
    statistic: min
    claim: observed
    at_least: 0.30
    severity: warning
    # ignore_pairs:
    #   - {pair: [cat, dog], reason: labelled by two people, expires: 2027-06-30}

  - id: generalizes
    description: Training data are not separated much better than validation data.
    check: gap
    layers: "*"
    at_most: 0.10
    tolerance: 0.02

  - id: not-memorized
    check: finding
    absent: [memorization, shared_rows]

  # - id: not-worse-than-shipped
  #   description: No layer separates the classes worse than in the network that we ship.
  #   check: change
  #   layers: "*"
  #   max_drop: 0.03
"""
