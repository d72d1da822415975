"""Downstream models, called heads in names, and the embeddings they were trained on.

Requires: converted downstream models, normalised sequences, and the encoders that the models name.
Produces: HEADS, the downstream models that exist already, and TRAINED, the tasks whose models this run trains, both by
the names in the column `tasks`; results/{dataset}/heads, the embeddings that the dataset does not have anyway.
"""


include: "input_functions/downstream.smk"


wildcard_constraints:
    task="|".join(map(re.escape, {**HEADS, **TRAININGS, **TRAINED})) or "(?!)",
    llm="|".join([NAME_WITH_STEP, *sorted(re.escape(model.name) for model in MODELS_OF_DATASETS)]),


checkpoint plan_heads:
    input:
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        current=unless_current(
            "plan", "results/{dataset}/heads/plan.json", compare=["results/{dataset}/heads/plan.json"]
        ),
    output:
        plan="results/{dataset}/heads/plan.json",
        sequences=directory("results/{dataset}/heads/sequences"),
        receipt="results/{dataset}/receipts/plan.json",
    log:
        "logs/plan_heads/{dataset}.log",
    benchmark:
        "benchmarks/plan_heads/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
    params:
        dataset=dataset_of,
        requests=requests_of,
        settings=settings_of("plan"),
    message:
        "Planning the embeddings that downstream models need for {wildcards.dataset}"
    script:
        "../scripts/plan_heads.py"


rule embed_for_heads:
    input:
        sequences=result_of("plan", "results/{dataset}/heads/sequences"),
        plan=result_of("plan", "results/{dataset}/heads/plan.json"),
        # Labels that cannot be trained on are refused before anything is embedded for them.
        divided=divisions_first,
    output:
        "results/{dataset}/heads/{llm}/{fingerprint}/{shard}.h5",
    log:
        "logs/embed_for_heads/{dataset}/{llm}/{fingerprint}/{shard}.log",
    benchmark:
        "benchmarks/embed_for_heads/{dataset}/{llm}/{fingerprint}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    message:
        "Embedding shard {wildcards.shard} of {wildcards.dataset} with {wildcards.llm} for downstream models"
    script:
        "../scripts/embed_for_heads.py"
