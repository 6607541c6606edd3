-- A session and those before it, by the keys that signed the issuing requests; a contradiction ends the way.
--
-- Grain: one session of the chain; step 0 is the one asked for.
-- Reads session.
-- Parameters: $access_key_id: key of the session.
with recursive known as (
    select *
    from session
    qualify row_number() over (
        partition by access_key_id
        order by issued_event_id nulls last, started_at, account_id, region
    ) = 1
),

upward as (
    select 0 as step, k.*
    from known as k
    where k.access_key_id = $access_key_id

    union all

    select u.step + 1 as step, k.*
    from upward as u
    inner join known as k
        on k.access_key_id = u.parent_access_key_id
    where u.conflict is null
        -- More than AWS's time limits let a chain have; so a circle ends too.
        and u.step < 40
)

select *
from upward
order by step
