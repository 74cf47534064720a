rule score:
    input:
        data=DATA,
        weights=WEIGHTS,
        images="results/{method}/{seed}/samples/{solver}.npz",
    output:
        scores="results/{method}/{seed}/scores/{solver}.json",
    log:
        "logs/score/{method}/{seed}/{solver}.log",
    benchmark:
        "benchmarks/score/{method}/{seed}/{solver}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        data=config["data"],
        options=options(
            size=config["size"],
            space=config["space"],
            weights=config["weights"],
            cache=config["cache"],
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow image score --data {params.data:q}"
        " --samples {input.images:q} --name {wildcards.method}/{wildcards.seed}"
        " {params.options:q} --output {output.scores:q}"
        " > {log:q} 2>&1"


rule table:
    input:
        scores=expand(
            "results/{method}/{seed}/scores/{solver}.json",
            method=config["methods"],
            seed=config["seeds"],
            solver=SOLVERS,
        ),
    output:
        table=report(
            "results/scores.tsv",
            caption="../report/scores.rst",
            category="Scores",
            labels={"scores": "table"},
        ),
        figure=report(
            "results/scores.png",
            caption="../report/scores.rst",
            category="Scores",
            labels={"scores": "figure"},
        ),
    log:
        "logs/table.log",
    benchmark:
        "benchmarks/table.tsv"
    localrule: True
    conda:
        "../envs/cellflow.yaml"
    params:
        space=config["space"],
    shell:
        "cellflow image table {input.scores:q} --output {output.table:q}"
        " --figure {output.figure:q} > {log:q} 2>&1"
