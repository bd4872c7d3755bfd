-- A rotation looks for the objects of a tenant that an older key has wrapped, and an old key is destroyed once there are
-- none: neither may read all objects of the tenant to find that nothing is left. Nothing else goes by the tenant alone.
create index object_key on object (tenant_id, tenant_key_version, id) where length(wrapped_key) > 0;
drop index object_tenant;
