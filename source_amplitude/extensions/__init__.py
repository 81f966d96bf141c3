"""The classes that manifest.yaml names, each from its room."""

from source_amplitude.extensions.annotations import AddAnnotationDay, AddCategoryName
from source_amplitude.extensions.authenticator import AmplitudeAuthenticator
from source_amplitude.extensions.budget import BudgetRetriever
from source_amplitude.extensions.charts import ChartExtractor
from source_amplitude.extensions.cohorts.job import CohortErrorHandler
from source_amplitude.extensions.cohorts.members import CohortMembersRetriever
from source_amplitude.extensions.cohorts.states import CohortStateMigration
from source_amplitude.extensions.cohorts.times import NormalizeCohortTimes
from source_amplitude.extensions.dashboards.segmentations import SegmentationRouter
from source_amplitude.extensions.dashboards.series import SeriesExtractor
from source_amplitude.extensions.dashboards.states import DailyStateMigration
from source_amplitude.extensions.dashboards.windows import DailyRetriever
from source_amplitude.extensions.error_handler import AmplitudeErrorHandler
from source_amplitude.extensions.export.decoder import ExportDecoder
from source_amplitude.extensions.export.error_handler import ExportErrorHandler
from source_amplitude.extensions.export.retriever import ExportRetriever
from source_amplitude.extensions.export.states import ExportStateMigration
from source_amplitude.extensions.lists import ListExtractor
from source_amplitude.extensions.partitions import ChartRetriever, PartitionErrorHandler
from source_amplitude.extensions.taxonomy import AddEventType, EventTypeRouter

__all__ = [
    "AddAnnotationDay",
    "AddCategoryName",
    "AddEventType",
    "AmplitudeAuthenticator",
    "AmplitudeErrorHandler",
    "BudgetRetriever",
    "ChartExtractor",
    "ChartRetriever",
    "CohortErrorHandler",
    "CohortMembersRetriever",
    "CohortStateMigration",
    "DailyRetriever",
    "DailyStateMigration",
    "EventTypeRouter",
    "ExportDecoder",
    "ExportErrorHandler",
    "ExportRetriever",
    "ExportStateMigration",
    "ListExtractor",
    "NormalizeCohortTimes",
    "PartitionErrorHandler",
    "SegmentationRouter",
    "SeriesExtractor",
]
