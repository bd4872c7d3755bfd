-- Whoever takes from the table is told what is short and a part, so that it takes as many of these as go in a bunch.
drop function take_ready(smallint, integer);
create function take_ready(p_pool smallint, p_max integer)
returns table (task_id bigint, epoch integer, tenant_id bigint, cost_ms integer, is_part boolean, offered_at double precision)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off
set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    update task t set worker = 'taken@' || t.lease_epoch
    where t.id = any(array(
      select q.id from task q
      where q.pool = p_pool and q.state = 'dispatched' and q.worker is distinct from 'taken@' || q.lease_epoch
      order by q.lease_until limit p_max for update skip locked))
    returning t.id, t.lease_epoch, t.tenant_id, t.cost_ms, t.ordinal > 0, extract(epoch from t.lease_until)::double precision;
end $$;
