-- Whom the caller of each event begins with, where it was asked only once of each caller.
--
-- Grain: one event, by account, region and id.
-- Reads item_caller (caller_id and the columns that tell a caller, as sql/trail/first_principal.sql takes them),
-- item_caller_kind (the same, one row a caller), item_principal (its answer).
-- Parameters: none.
select
    c.caller_id, p.first_principal_arn, p.first_principal_type, p.principal_class, p.chain, p.chain_proof,
    p.unresolved_reason, p.conflict
from item_caller as c
inner join item_caller_kind as k
    on k.access_key_id is not distinct from c.access_key_id
    and k.principal_type is not distinct from c.principal_type
    and k.principal_arn is not distinct from c.principal_arn
    and k.session_issuer_arn is not distinct from c.session_issuer_arn
    and k.invoked_by is not distinct from c.invoked_by
    and k.on_behalf_of_user_id is not distinct from c.on_behalf_of_user_id
inner join item_principal as p
    on p.caller_id = k.caller_id
order by c.caller_id
