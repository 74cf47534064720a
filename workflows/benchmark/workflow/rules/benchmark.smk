# Every so many held-out times, with all methods and seeds: many small fits, one start of Python.
rule part:
    input:
        plan=user_file(PLAN),
        data=DATA,
    output:
        done=touch("results/parts/{k}.done"),
    log:
        "logs/part/{k}.log",
    benchmark:
        "benchmarks/part/{k}.tsv"
    conda:
        "../envs/cellflow.yaml"
    threads: config["threads"]
    params:
        folder=subpath(output.done, ancestor=2),
        n=len(PARTS),
    shell:
        "TQDM_MININTERVAL=60 cellflow benchmark {input.plan:q} --output {params.folder:q}/fits"
        " --part {wildcards.k}/{params.n} --jobs {threads} > {log:q} 2>&1"


rule table:
    input:
        plan=user_file(PLAN),
        data=DATA,
        parts=expand("results/parts/{k}.done", k=PARTS),
    output:
        table=report(
            "results/benchmark.csv",
            caption="../report/table.rst",
            category="Scores",
            labels={"scores": "table"},
        ),
        summary="results/benchmark.md",
        figure=report(
            "results/benchmark.png",
            caption="../report/table.rst",
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
        folder=subpath(output.table, parent=True),
    shell:
        "(cellflow benchmark {input.plan:q} --output {params.folder:q}/fits --jobs 1"
        " && cp {params.folder:q}/fits/benchmark.csv {params.folder:q}/fits/benchmark.md"
        " {params.folder:q}/fits/benchmark.png {params.folder:q}/) > {log:q} 2>&1"
