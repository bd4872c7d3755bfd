-- A task is written three times at least, and each writes an entry beside the one before: with room for them no page is
-- split or looked through for entries to drop.
alter index task_pkey set (fillfactor = 35);
alter index task_job_id_step_ordinal_key set (fillfactor = 35);
