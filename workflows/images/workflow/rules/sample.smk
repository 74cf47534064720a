# A picture of images that a flow makes, by the solver that suits it.
rule sample:
    input:
        flow="results/{run}/{seed}/flow",
    output:
        grid=report(
            "results/{run}/{seed}/grid.png",
            caption="../report/grid.rst",
            category="Images",
            labels={"run": "{run}", "seed": "{seed}"},
        ),
    log:
        "logs/sample/{run}/{seed}.log",
    benchmark:
        "benchmarks/sample/{run}/{seed}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    shell:
        "TQDM_MININTERVAL=60 cellflow image sample --flow {input.flow:q} --n 64"
        " --seed {wildcards.seed} --output {output.grid:q} > {log:q} 2>&1"
