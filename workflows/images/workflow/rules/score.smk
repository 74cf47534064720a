rule score:
    input:
        data=DATA,
        weights=WEIGHTS,
        flow="results/{run}/{seed}/flow",
    output:
        scores="results/{run}/{seed}/scores.json",
    log:
        "logs/score/{run}/{seed}.log",
    benchmark:
        "benchmarks/score/{run}/{seed}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        data=config["data"],
        n=config["n_samples"],
        solvers=solvers,
        options=options(
            size=config["size"],
            space=config["space"],
            weights=config["weights"],
            cache=config["cache"],
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow image score --data {params.data:q} --flow {input.flow:q}"
        " --n {params.n} {params.solvers:q} --name {wildcards.run} --seed {wildcards.seed}"
        " {params.options:q} --output {output.scores:q} > {log:q} 2>&1"


rule table:
    input:
        scores=expand(
            "results/{run}/{seed}/scores.json",
            run=RUNS,
            seed=config["seeds"],
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
    shell:
        "cellflow image table {input.scores:q} --output {output.table:q}"
        " --figure {output.figure:q} > {log:q} 2>&1"
