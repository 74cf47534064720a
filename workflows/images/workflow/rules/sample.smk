rule sample:
    input:
        flow="results/{method}/{seed}/flow",
    output:
        images="results/{method}/{seed}/samples/{solver}.npz",
    log:
        "logs/sample/{method}/{seed}/{solver}.log",
    benchmark:
        "benchmarks/sample/{method}/{seed}/{solver}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        n=config["n_samples"],
        solver=lambda wildcards: options(**SOLVERS[wildcards.solver]),
    shell:
        "TQDM_MININTERVAL=60 cellflow image sample --flow {input.flow:q} --n {params.n}"
        " {params.solver:q} --seed {wildcards.seed} --output {output.images:q} > {log:q} 2>&1"


# A picture of the samples by the solver that the config names first.
rule grid:
    input:
        images=f"results/{{method}}/{{seed}}/samples/{FIRST_SOLVER}.npz",
    output:
        grid=report(
            "results/{method}/{seed}/grid.png",
            caption="../report/grid.rst",
            category="Images",
            labels={"method": "{method}", "seed": "{seed}"},
        ),
    log:
        "logs/grid/{method}/{seed}.log",
    benchmark:
        "benchmarks/grid/{method}/{seed}.tsv"
    localrule: True
    conda:
        "../envs/cellflow.yaml"
    params:
        solver=FIRST_SOLVER,
    shell:
        "cellflow image data {input.images:q} --output {output.grid:q} > {log:q} 2>&1"
