-- What can be said of each operation of each table in an hour, and why.
--
-- What is known to be missing makes an hour incomplete, whatever else is not known of it; then what cannot be known
-- makes it not assessable; then what may still come makes it provisional. docs/reference/proof.md explains each reason.
-- Selectors that nobody knows do no harm where the counts agree.
--
-- Grain: account, region, table, operation, hour.
-- Reads fact (facts.sql), place_hour (places.sql).
-- Parameters: none.
with known as (
    select
        f.*,
        p.log_files, p.log_files_attested, p.digests_valid, p.quarantined, p.unattested_reasons, p.settled,
        coalesce(p.has_trail, false) as has_trail,
        coalesce(p.metrics, 'none') as metrics,
        p.files_missing, p.files_altered, p.files_forged, p.files_not_yet, p.files_unattested,
        p.digests_missing, p.digests_invalid, p.digests_unread, p.digests_open, p.no_digest
    from fact as f
    left join place_hour as p
        on p.account_id = f.account_id
        and p.region = f.region
        and p.event_hour = f.event_hour
),

reason as (
    select
        k.*,
        concat_ws(
            '|',
            case when shortfall > 0 then 'count_shortfall: ' || cast(shortfall as varchar) end,
            case when failures_shortfall > 0 then 'failures_shortfall: ' || cast(failures_shortfall as varchar) end,
            case when witness_shortfall > 0 then 'witness_shortfall: ' || cast(witness_shortfall as varchar) end,
            case when unexplained_changes > 0 then 'unexplained_changes: ' || cast(unexplained_changes as varchar) end,
            case when expiries_shortfall > 0 then 'expiries_shortfall: ' || cast(expiries_shortfall as varchar) end,
            case when files_missing > 0 then 'log_file_missing: ' || cast(files_missing as varchar) end,
            case when files_altered > 0 then 'log_file_altered: ' || cast(files_altered as varchar) end,
            case when files_forged > 0 then 'log_file_forged: ' || cast(files_forged as varchar) end,
            case when digests_missing > 0 then 'digest_missing: ' || cast(digests_missing as varchar) end,
            case when digests_invalid > 0 then 'digest_invalid: ' || cast(digests_invalid as varchar) end,
            case when quarantined > 0 then 'quarantined: ' || cast(quarantined as varchar) end,
            case when selection = 'PARTIAL' then 'selectors_partial' end,
            case when selection = 'NONE' then 'not_selected' end,
            case when stream_gaps > 0 then 'stream_gap: ' || cast(stream_gaps as varchar) end,
            case
                when stream_status = 'incomplete' and coalesce(stream_gaps, 0) = 0
                    then 'stream_incomplete: ' || coalesce(stream_reasons, 'no reason given')
            end,
            case when sequences_broken > 0 then 'sequence_broken: ' || cast(sequences_broken as varchar) end
        ) as lacks,
        concat_ws(
            '|',
            case when not has_trail then 'no_trail' end,
            case
                when has_trail and no_digest and files_unattested = 0 and digests_missing + digests_invalid = 0
                    then 'no_digest'
            end,
            case when digests_unread > 0 then 'digest_unread: ' || cast(digests_unread as varchar) end,
            case when needs_metric and has_trail and metrics = 'none' then 'no_metric' end,
            case when needs_metric and has_trail and metrics = 'not_read' then 'metric_not_read' end,
            case
                when has_trail and metrics = 'read' and uncounted > 0
                    then 'not_comparable: ' || coalesce(not_comparable_code, 'not_counted')
            end,
            case when surplus > 0 then 'count_surplus: ' || cast(surplus as varchar) end,
            case
                when selection = 'UNKNOWN' and (not needs_metric or metrics <> 'read' or uncounted > 0)
                    then 'selection_unknown'
            end,
            case
                when stream_status = 'not_assessable' and coalesce(stream_reasons, '') <> 'no_stream'
                    then 'stream_not_assessable: ' || coalesce(stream_reasons, 'no reason given')
            end,
            case when stream_unread then 'stream_not_read' end,
            unattested_reasons
        ) as unknowns,
        concat_ws(
            '|',
            case when digests_open then 'digest_pending' end,
            case when files_not_yet > 0 then 'log_file_not_yet_attested: ' || cast(files_not_yet as varchar) end,
            case when needs_metric and metrics = 'open' then 'metric_pending' end,
            case when stream_open then 'stream_pending' end,
            case when has_trail and not settled then 'may_still_be_late' end
        ) as open_points
    from known as k
)

select
    event_hour,
    account_id,
    region,
    table_name,
    table_arn,
    operation,
    events,
    failed_events,
    metric_count,
    ratio,
    expected_ratio,
    returned_items,
    selection,
    excluded,
    digests_valid,
    log_files,
    log_files_attested,
    changes,
    stream_status,
    stream_gaps,
    quarantined,
    late,
    case
        when lacks <> '' then 'incomplete'
        when unknowns <> '' then 'not_assessable'
        when open_points <> '' then 'complete_provisional'
        else 'complete'
    end as statement,
    case
        when lacks || unknowns || open_points <> ''
            then list_sort(
                string_split(concat_ws('|', nullif(lacks, ''), nullif(unknowns, ''), nullif(open_points, '')), '|')
            )
    end as reasons
from reason
