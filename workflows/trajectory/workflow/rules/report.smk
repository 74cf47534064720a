rule report:
    input:
        cells="results/{sample}/annotated.h5ad",
        flow="results/{sample}/flow",
        scores=("results/{sample}/scores.json" if config["holdout"] else []),
    output:
        page=report(
            "results/{sample}/report.html",
            caption="../report/report.rst",
            category="Reports",
            labels={"sample": "{sample}"},
        ),
    log:
        "logs/report/{sample}.log",
    benchmark:
        "benchmarks/report/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=lambda wildcards, input: options(
            scores=input.scores or None, color=column(wildcards, "groups")
        ),
    shell:
        "cellflow report {input.cells:q} --flow {input.flow:q} {params.options:q}"
        " --title {wildcards.sample:q} --output {output.page:q} > {log:q} 2>&1"
