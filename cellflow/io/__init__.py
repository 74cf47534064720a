"""Between files, slots and populations in time."""

from cellflow.io.courses import published, read_course
from cellflow.io.covariates import Conditions, SideColumns
from cellflow.io.flow_times import flow_times_of, in_unit, kept_times, shared_times
from cellflow.io.h5ad import read_h5ad, write_h5ad
from cellflow.io.scores import read_scores, write_scores
from cellflow.io.selection import Cells, described, groups_of, select_cells
from cellflow.io.slots import populations, time_key_of, time_points_of
from cellflow.io.stores import check_copy_target, open_cells, write_copy
from cellflow.io.tables import check_table_target, read_table, write_table
from cellflow.io.times import TimePoints, in_words, parse_times

__all__ = [
    "Cells",
    "Conditions",
    "SideColumns",
    "TimePoints",
    "check_copy_target",
    "check_table_target",
    "described",
    "flow_times_of",
    "groups_of",
    "in_unit",
    "in_words",
    "kept_times",
    "open_cells",
    "parse_times",
    "populations",
    "published",
    "read_course",
    "read_h5ad",
    "read_scores",
    "read_table",
    "select_cells",
    "shared_times",
    "time_key_of",
    "time_points_of",
    "write_copy",
    "write_h5ad",
    "write_scores",
    "write_table",
]
