rule train:
    input:
        data=DATA,
        config=recipe_of,
    output:
        flow=directory("results/{run}/{seed}/flow"),
    log:
        "logs/train/{run}/{seed}.log",
    benchmark:
        "benchmarks/train/{run}/{seed}.tsv"
    wildcard_constraints:
        run="|".join(map(re.escape, TRAINED)),
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        data=config["data"],
        options=lambda wildcards: options(
            size=config["size"],
            config=setting(wildcards, "config"),
            method=setting(wildcards, "method"),
            coupling=setting(wildcards, "coupling"),
            coupling_batch_size=setting(wildcards, "coupling_batch_size"),
            n_steps=setting(wildcards, "n_steps"),
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
        " {params.checkpoint:q} --seed {wildcards.seed} --output {output.flow:q} > {log:q} 2>&1"


rule finetune:
    input:
        data=DATA,
        flow=lambda wildcards: "results/{finetunes}/{{seed}}/flow".format(
            **RUNS[wildcards.run]
        ),
    output:
        flow=directory("results/{run}/{seed}/flow"),
    log:
        "logs/finetune/{run}/{seed}.log",
    benchmark:
        "benchmarks/finetune/{run}/{seed}.tsv"
    wildcard_constraints:
        run="|".join(map(re.escape, TUNED)) or "(?!)",
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        data=config["data"],
        options=lambda wildcards: options(
            size=config["size"],
            alpha=setting(wildcards, "alpha"),
            target=setting(wildcards, "target"),
            n_steps=RUNS[wildcards.run].get("n_steps"),
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow image finetune --flow {input.flow:q}"
        " --data {params.data:q} {params.options:q} --seed {wildcards.seed}"
        " --output {output.flow:q} > {log:q} 2>&1"
