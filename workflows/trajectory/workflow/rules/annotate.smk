# Where each cell may end, which groups become which, and how fast cells move.


rule fates:
    input:
        course="results/{sample}/course.h5ad",
        flow="results/{sample}/flow",
    output:
        cells="results/{sample}/fates.h5ad",
    log:
        "logs/fates/{sample}.log",
    benchmark:
        "benchmarks/fates/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=lambda wildcards: options(
            groups=column(wildcards, "groups"), seed=config["seed"]
        ),
    shell:
        "cellflow fates {input.course:q} --flow {input.flow:q} {params.options:q}"
        " --output {output.cells:q} > {log:q} 2>&1"


rule transitions:
    input:
        course="results/{sample}/course.h5ad",
        flow="results/{sample}/flow",
    output:
        table="results/{sample}/transitions.csv",
        figure=report(
            "results/{sample}/sankey.png",
            caption="../report/sankey.rst",
            category="Figures",
            labels={"sample": "{sample}", "figure": "transitions"},
        ),
    log:
        "logs/transitions/{sample}.log",
    benchmark:
        "benchmarks/transitions/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=lambda wildcards: options(
            groups=column(wildcards, "groups"), seed=config["seed"]
        ),
    shell:
        "(cellflow transitions {input.course:q} --flow {input.flow:q} {params.options:q}"
        " --output {output.table:q}"
        " && cellflow plot sankey {input.course:q} --transitions {output.table:q}"
        " --output {output.figure:q}) > {log:q} 2>&1"


rule velocity:
    input:
        cells=lambda wildcards: (
            "results/{sample}/fates.h5ad"
            if column(wildcards, "groups")
            else "results/{sample}/course.h5ad"
        ),
        flow="results/{sample}/flow",
    output:
        cells="results/{sample}/annotated.h5ad",
    log:
        "logs/velocity/{sample}.log",
    benchmark:
        "benchmarks/velocity/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=lambda wildcards: [
            word
            for basis in (column(wildcards, "basis") or "").split()
            for word in options(basis=basis)
        ],
    shell:
        "cellflow velocity {input.cells:q} --flow {input.flow:q} {params.options:q}"
        " --output {output.cells:q} > {log:q} 2>&1"
