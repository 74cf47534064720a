"""Read files and slots of an AnnData; turn cells and their times into populations."""

from cellflow.io.anndata_files import (
    check_cells_target,
    load_matrices,
    open_cells,
    read_h5ad,
    write_copy,
    write_h5ad,
)
from cellflow.io.cell_selection import Cells, describe_cells, select_cells
from cellflow.io.conditions import DEFAULT_WEIGHT, Conditions, condition_weight, conditions_of
from cellflow.io.count_growth import count_growth, describe_count_growth, per_unit
from cellflow.io.courses import open_course, published, read_course
from cellflow.io.flow_time_points import (
    convert_unit,
    shared_times,
    time_points_for_flow,
    time_points_for_result,
    time_points_to_dict,
)
from cellflow.io.gene_names import GeneNames
from cellflow.io.group_colours import (
    SAFE,
    colours_as_stored,
    colours_for_table,
    names_of_groups,
)
from cellflow.io.groups import check_groups, groups_of, is_continuous, name_group
from cellflow.io.known_transitions import (
    AllowedTransitions,
    KnownTransitions,
    read_allowed_transitions,
    transition_penalty,
)
from cellflow.io.label_intervals import TimeNames, name_time_point
from cellflow.io.populations import SideColumns, check_growth_key, populations
from cellflow.io.scores import SCORES, read_scores, write_scores
from cellflow.io.text_tables import TABLES, check_table_target, read_table, write_table
from cellflow.io.time_columns import unknown_labels
from cellflow.io.time_labels import unit_of_name
from cellflow.io.time_points import (
    TimePoints,
    log_times,
    parse_times,
    plural_unit,
    time_key_of,
    time_points_of,
)
from cellflow.io.time_units import (
    detect_unit,
    format_time,
    format_times,
    name_time,
    name_times,
)

__all__ = [
    "DEFAULT_WEIGHT",
    "SAFE",
    "SCORES",
    "TABLES",
    "AllowedTransitions",
    "Cells",
    "Conditions",
    "GeneNames",
    "KnownTransitions",
    "SideColumns",
    "TimeNames",
    "TimePoints",
    "check_cells_target",
    "check_groups",
    "check_growth_key",
    "check_table_target",
    "colours_as_stored",
    "colours_for_table",
    "condition_weight",
    "conditions_of",
    "convert_unit",
    "count_growth",
    "describe_cells",
    "describe_count_growth",
    "detect_unit",
    "format_time",
    "format_times",
    "groups_of",
    "is_continuous",
    "load_matrices",
    "log_times",
    "name_group",
    "name_time",
    "name_time_point",
    "name_times",
    "names_of_groups",
    "open_cells",
    "open_course",
    "parse_times",
    "per_unit",
    "plural_unit",
    "populations",
    "published",
    "read_allowed_transitions",
    "read_course",
    "read_h5ad",
    "read_scores",
    "read_table",
    "select_cells",
    "shared_times",
    "time_key_of",
    "time_points_for_flow",
    "time_points_for_result",
    "time_points_of",
    "time_points_to_dict",
    "transition_penalty",
    "unit_of_name",
    "unknown_labels",
    "write_copy",
    "write_h5ad",
    "write_scores",
    "write_table",
]
