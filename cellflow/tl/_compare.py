"""The verb `tl.compare`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from anndata import AnnData

from cellflow._checks import check_choice, check_positive
from cellflow._random import RNG, resolve_seed
from cellflow.methods.names import COMPARISONS, POPULATION_DISTANCES
from cellflow.representation import current_representation, points_of
from cellflow.tl._compare_genes import compare_genes
from cellflow.tl._compare_means import compare_means, read_fates, read_growth
from cellflow.tl._compare_populations import PopulationSettings, compare_populations
from cellflow.tl._condition_pairs import ConditionPairs


def compare(
    adata: AnnData,
    condition_key: str,
    *,
    of: str = "populations",
    by: str | None = None,
    reference: str | float | None = None,
    replicate_key: str | None = None,
    use_rep: str | None = None,
    distance: str = "energy",
    n_permutations: int = 999,
    max_cells: int = 1000,
    genes: str | Sequence[str] | None = None,
    gene_symbols: str | None = None,
    layer: str | None = None,
    n_top: int | None = None,
    time_key: str | None = None,
    rng: RNG = 0,
) -> pd.DataFrame:
    """Compare the time courses of two conditions: when they part, and in what.

    Parameters
    ----------
    adata
        Annotated data matrix of the time courses of all conditions.
    condition_key
        Column of `obs` with the conditions.
    of
        `populations`: the distance between both conditions at each time, tested by permutation.
        `fates`: mean fate probabilities, or shares of groups. `genes`: mean expression. `growth`:
        mean growth rates.
    by
        For `fates`: `obsm` key with the weight of each cell in each group, or column of `obs` with
        groups; None uses `fate_probabilities`. For `growth`: column of `obs` with rates; None uses
        that of `pp.growth` and `tl.growth`.
    reference
        Condition that each other one is compared with; None uses the first of the column.
    replicate_key
        Column of `obs` with biological replicates, such as donors or animals. Whole replicates are
        then permuted; None permutes cells. A value that occurs in two conditions is one replicate
        of each.
    use_rep
        The `obsm` key to compare populations in; None uses the representation that flows are fitted
        in, which is computed and written to `obsm` if it is missing, as by `tl.fit`.
    distance
        `energy`: the energy distance, which any difference between populations raises. `means`: the
        squared distance of the means.
    n_permutations
        Number of permutations.
    max_cells
        Maximum number of cells of each condition and time that distances are computed from, drawn
        at random.
    genes
        Genes to compare, by symbol or identifier; None compares all.
    gene_symbols
        Column of `var` with the symbols of the genes, as in `tl.drivers`.
    layer
        Layer with the expression; None uses `X`. It is brought to a logarithmic scale as by
        `pp.embed`.
    n_top
        Number of genes to return for each condition and time, the first ones; None returns all.
    time_key
        Column of `obs` with the times; None uses the column that `pp.time_points` recorded, or one
        of a usual name (`time`, `day`, ...).
    rng
        Seed, or a numpy generator to draw one from, of permutations and of drawn cells.

    Returns
    -------
    A DataFrame with a row for each condition but the reference and each time at which both have 20
    cells or more, of one replicate if there are any. For `populations`:

    `condition`, `reference`, `time`
        Elapsed time in the unit of the course.
    `statistic`, `distance`
        `energy` or `means`, and the distance between the populations by it, in units of the
        representation (`means`: squared). Without a difference its mean is zero, so it can be
        slightly negative. Replicates have equal weight.
    `expected`
        Mean distance of permuted labels: zero for cells; of replicates, how far they are apart.
    `threshold`
        Distance that permutations stay below at all times and in all conditions together, in 95 of
        100 cases; `p` is at most 0.05 above it.
    `p`
        Share of permutations with a distance as far out at any time, times the number of
        conditions: over all rows, the probability of a false alarm is at most 5 % where `p` is held
        to 0.05. NaN where replicates are too few for any p of 0.05.
    `parted_after`, `parted_by`
        Last time at which the populations do not differ significantly, and the first from which on
        they do at all times, the same in all rows of a condition. The former is NaN if they differ
        from the first time on; both are NaN if they do not differ at the last time, or a time has
        no p.
    `permuted`, `n`, `n_reference`
        `cells` or `replicates`, and the numbers of cells; with replicates also `n_replicates` and
        `n_replicates_reference`.
    `unit`
        Unit of the times, if known.

    For `fates` and `growth`, with a row for each group:

    `group`, `mean`, `mean_reference`, `difference`
        Group, or column of the rates, the means of both conditions, and the first minus the second.
        Cells without a value are left out. Replicates have equal weight.
    `low`, `high`
        Interval of the difference, by Welch's t: it holds it in 95 of 100 cases, for each row by
        itself. NaN for a single replicate, and where no unit differs from another. Of `tl.fates` it
        includes the sampling of the end cells, which probabilities of earlier cells share.
    `units`, `n`, `n_reference`
        `cells` or `replicates`, and their numbers.

    For `genes`, with a row for each gene, those with the smallest p first:

    `gene`, `mean`, `mean_reference`, `difference`
        Gene, mean expression of both conditions, and the first minus the second. With a column of
        symbols, `gene_id` as in `tl.drivers`.
    `effect`
        Difference in units of the standard deviation of the cells of one condition.
    `p`, `q`
        By Welch's t test, and by Benjamini and Hochberg 1995 over the genes of a condition and
        time. NaN for a single replicate, and for genes with one value.
    `units`, `n`, `n_reference`
        As above.

    Raises
    ------
    InputError
        If a column is missing or has missing values, there is a single condition or no such
        reference, a condition has no time in common with the reference, or `n_permutations` are too
        few for p to reach 0.05; if fates, growth rates, genes or expression are missing.

    Notes
    -----
    Cells of one sample are not independent: two samples of one condition differ in more than their
    cells. Permutation of cells tests whether the cells at hand differ, and finds batches as surely
    as effects. Permutation of replicates tests the condition. It needs 4 replicates of each of two
    conditions for p to reach 0.05, since 3 and 3 can be labelled in 10 different ways.

    `parted_after` is a time without evidence, and not one without a difference: few cells find
    late what many find early.

    Intervals and tests of fates, growth and genes hold each row for itself, except `q`. Numbers of
    cells are not compared, since they depend on how many were sampled: more cells of a group are a
    larger share, by growth or by movement. Mean growth rates of gene sets or of a column can tell
    one from the other as far as they are right; rates that a flow learned can not.

    The energy distance is of Szekely and Rizzo 2013, J. Stat. Plan. Inference 143:1249; the largest
    of standardised distances as a test over times is of Westfall and Young 1993.

    Examples
    --------
    >>> import cellflow as cf
    >>> import numpy as np
    >>> adata = cf.datasets.simulate_course(n_cells=400, n_genes=50)
    >>> adata.obs["half"] = np.where(np.arange(400) % 2, "treated", "control")
    >>> table = cf.tl.compare(adata, "half", use_rep="true_latent")
    >>> table["time"].tolist()
    [0.0, 2.0, 4.0, 7.0]
    """
    check_choice(of, COMPARISONS, "comparison (of)")
    check_choice(distance, POPULATION_DISTANCES, "distance")
    check_positive(n_permutations, "n_permutations")
    check_positive(max_cells, "max_cells")
    if n_top is not None:
        check_positive(n_top, "n_top")
    seed = resolve_seed(rng)
    found = ConditionPairs.read(
        adata,
        condition_key,
        reference=reference,
        replicate_key=replicate_key,
        time_key=time_key,
    )
    if of == "genes":
        return compare_genes(
            adata, found, genes=genes, gene_symbols=gene_symbols, layer=layer, n_top=n_top
        )
    if of == "fates":
        return compare_means(found, *read_fates(adata, by, condition_key))
    if of == "growth":
        return compare_means(found, read_growth(adata, by))
    settings = PopulationSettings(distance, n_permutations, max_cells)
    settings.check(len(found.pairs))
    points = points_of(adata, current_representation(adata, use_rep))
    return compare_populations(found, points, settings, seed)
