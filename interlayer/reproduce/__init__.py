"""The paper (Waagen et al., arXiv 1907.04223) re-run: networks, tables S-1 to S-18, figures, and its claims.

    command      `interlayer reproduce`
    experiments  what each experiment trains on, which network, how: dataclasses
    images       the data of an experiment, from files (packed_files, idx_files, cifar_files) or scikit-learn's digits
    network      the network and its training, in PyTorch
    study        train, record, analyse: one report an instance, kept, then one of all
    tables       a report, or the paper's own numbers, as the tables S-1 to S-18
    table_text   these tables as CSV, Markdown and LaTeX
    figures      class pairs as matrices, and their distributions layer by layer, as SVG
    claims       what the paper claims, as rules that its tables and ours are held against
    comparison   the paper's numbers, ours, and whether each claim holds
    results      all of it as files

The paper's tables are in paper_tables.json.
"""
