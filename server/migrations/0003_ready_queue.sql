-- The ready queue of installations without Redis, and of all while Redis is down. Plans are pinned, because a table
-- without statistics, as after a bulk load, would be sorted or scanned as a whole on each take.

-- Hands out dispatched tasks in the order of admission, each once per epoch. Which epoch was handed out is written into
-- the row, where it needs no reset: a task that is admitted anew has another epoch.
create function take_ready(p_pool smallint, p_max integer)
returns table (task_id bigint, epoch integer, tenant_id bigint, offered_at double precision)
language plpgsql
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
  return query
    update task t set worker = 'taken@' || t.lease_epoch
    where t.id = any(array(
      select q.id from task q
      where q.pool = p_pool and q.state = 'dispatched' and q.worker is distinct from 'taken@' || q.lease_epoch
      order by q.lease_until limit p_max for update skip locked))
    returning t.id, t.lease_epoch, t.tenant_id, extract(epoch from t.lease_until)::double precision;
end $$;

create function count_ready(p_pool smallint) returns bigint
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
  return (select count(*) from task q
    where q.pool = p_pool and q.state = 'dispatched' and q.worker is distinct from 'taken@' || q.lease_epoch);
end $$;
