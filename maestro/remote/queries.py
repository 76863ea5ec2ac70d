"""The GraphQL documents sent to Dagster's web server (1.13)."""

from __future__ import annotations

_PROBLEMS = "__typename ... on Error { message }"

RUN_FIELDS = """
fragment RunFields on Run {
  runId rootRunId parentRunId jobName status runConfigYaml creationTime startTime endTime
  tags { key value }
  assetSelection { path }
}
"""

RUN = f"""query Run($id: ID!) {{ runOrError(runId: $id) {{ {_PROBLEMS} ...RunFields }} }} {RUN_FIELDS}"""

RUNS = f"""
query Runs($filter: RunsFilter, $cursor: String, $limit: Int) {{
  runsOrError(filter: $filter, cursor: $cursor, limit: $limit) {{
    {_PROBLEMS} ... on Runs {{ results {{ ...RunFields }} }}
  }}
}} {RUN_FIELDS}"""

RUN_IDS = f"""
query RunIds($cursor: String, $limit: Int) {{
  runIdsOrError(cursor: $cursor, limit: $limit) {{ {_PROBLEMS} ... on RunIds {{ results }} }}
}}"""

EVENT_FIELDS = """
fragment Entries on MetadataEntry {
  label ... on TextMetadataEntry { text } ... on BoolMetadataEntry { boolValue }
}
fragment Failure on PythonError { message className causes { message className } }
fragment EventFields on MessageEvent {
  __typename message timestamp stepKey eventType
  ... on AssetMaterializationPlannedEvent { assetKey { path } }
  ... on MaterializationEvent { assetKey { path } metadataEntries { ...Entries } }
  ... on ObservationEvent { assetKey { path } metadataEntries { ...Entries } }
  ... on AssetCheckEvaluationEvent { evaluation { success severity metadataEntries { ...Entries } } }
  ... on EngineEvent { metadataEntries { ...Entries } }
  ... on ExecutionStepFailureEvent { error { ...Failure } failureMetadata { description } }
  ... on ExecutionStepUpForRetryEvent { error { ...Failure } }
  ... on RunFailureEvent { error { ...Failure } }
  ... on LogsCapturedEvent { fileKey stepKeys }
}
"""

EVENTS = f"""
query Events($id: ID!, $cursor: String, $limit: Int) {{
  logsForRun(runId: $id, afterCursor: $cursor, limit: $limit) {{
    {_PROBLEMS} ... on EventConnection {{ cursor hasMore events {{ ...EventFields }} }}
  }}
}} {EVENT_FIELDS}"""

SUBSCRIPTION = """
subscription News($id: ID!, $cursor: String) {
  pipelineRunLogs(runId: $id, cursor: $cursor) {
    __typename ... on PipelineRunLogsSubscriptionSuccess { cursor }
  }
}"""

WORKSPACE = """
query Workspace {
  workspaceOrError {
    __typename ... on Error { message }
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError {
          __typename ... on Error { message }
          ... on RepositoryLocation {
            repositories { name jobs { name tags { key } } assetNodes { assetKey { path } jobNames } }
          }
        }
      }
    }
  }
}"""

ADD_REVISION = """
mutation AddRevision($name: String!, $key: String!, $repository: RepositorySelector!) {
  addDynamicPartition(partitionsDefName: $name, partitionKey: $key, repositorySelector: $repository) {
    __typename ... on Error { message } ... on UnauthorizedError { message } ... on PythonError { message }
  }
}"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message path } }
    ... on Error { message }
  }
}"""

TERMINATE = """
mutation Terminate($id: String!, $policy: TerminateRunPolicy!) {
  terminateRun(runId: $id, terminatePolicy: $policy) {
    __typename
    ... on TerminateRunFailure { message }
    ... on Error { message }
  }
}"""
