rule train:
    input:
        data=DATA,
        config=RECIPE,
    output:
        flow=directory("results/{method}/{seed}/flow"),
    log:
        "logs/train/{method}/{seed}.log",
    benchmark:
        "benchmarks/train/{method}/{seed}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        data=config["data"],
        options=options(
            size=config["size"],
            config=config["config"],
            n_steps=config["n_steps"],
        ),
        checkpoint=lambda wildcards, output: (
            options(
                checkpoint=f"{output.flow}.checkpoint",
                checkpoint_every=config["checkpoint_every"],
            )
            + ["--resume"]
            if config["checkpoint_every"]
            else []
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow image train --data {params.data:q} {params.options:q}"
        " {params.checkpoint:q} --method {wildcards.method} --seed {wildcards.seed}"
        " --output {output.flow:q} > {log:q} 2>&1"
