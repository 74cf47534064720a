rule embed:
    input:
        cells=lambda wildcards: user_file(column(wildcards, "file")),
    output:
        course="results/{sample}/course.h5ad",
    log:
        "logs/embed/{sample}.log",
    benchmark:
        "benchmarks/embed/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=lambda wildcards: options(
            time_key=column(wildcards, "time_key"),
            use_rep=column(wildcards, "use_rep"),
            n_dims=config["n_dims"],
        ),
    shell:
        "cellflow embed {input.cells:q} {params.options:q} --output {output.course:q}"
        " > {log:q} 2>&1"


rule fit:
    input:
        course="results/{sample}/course.h5ad",
    output:
        flow=directory("results/{sample}/flow"),
    log:
        "logs/fit/{sample}.log",
    benchmark:
        "benchmarks/fit/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        options=options(
            method=config["method"], n_steps=config["n_steps"], seed=config["seed"]
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow fit {input.course:q} {params.options:q}"
        " --output {output.flow:q} > {log:q} 2>&1"


# The representation is made anew in every fold, without the cells that are held out.
rule holdout:
    input:
        cells=lambda wildcards: user_file(column(wildcards, "file")),
    output:
        scores="results/{sample}/scores.json",
    log:
        "logs/holdout/{sample}.log",
    benchmark:
        "benchmarks/holdout/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        options=lambda wildcards: (
            options(
                time_key=column(wildcards, "time_key"),
                use_rep=column(wildcards, "use_rep"),
                method=config["method"],
                n_steps=config["n_steps"],
                max_cells=config["max_cells"],
            )
            + [word for seed in config["seeds"] for word in options(seed=seed)]
            + [
                word
                for time in (column(wildcards, "hold_out") or "").split()
                for word in options(time=time)
            ]
        ),
    shell:
        "TQDM_MININTERVAL=60 cellflow holdout {input.cells:q} {params.options:q}"
        " --output {output.scores:q} > {log:q} 2>&1"
