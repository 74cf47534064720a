rule interpolate:
    input:
        course="results/{sample}/course.h5ad",
        flow="results/{sample}/flow",
    output:
        cells="results/{sample}/predicted/{time}.h5ad",
    log:
        "logs/interpolate/{sample}/{time}.log",
    benchmark:
        "benchmarks/interpolate/{sample}/{time}.tsv"
    conda:
        "../envs/cellflow.yaml"
    params:
        options=options(seed=config["seed"]),
    shell:
        "cellflow interpolate {input.course:q} --flow {input.flow:q} --time {wildcards.time:q}"
        " {params.options:q} --output {output.cells:q} > {log:q} 2>&1"


rule trajectories:
    input:
        course="results/{sample}/course.h5ad",
        flow="results/{sample}/flow",
    output:
        figure=report(
            "results/{sample}/trajectories.png",
            caption="../report/trajectories.rst",
            category="Figures",
            labels={"sample": "{sample}", "figure": "trajectories"},
        ),
    log:
        "logs/trajectories/{sample}.log",
    benchmark:
        "benchmarks/trajectories/{sample}.tsv"
    conda:
        "../envs/cellflow.yaml"
    shell:
        "cellflow plot trajectories {input.course:q} --flow {input.flow:q}"
        " --output {output.figure:q} > {log:q} 2>&1"
