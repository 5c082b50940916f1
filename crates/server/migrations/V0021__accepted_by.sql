-- The account that came of an invitation, so that the invitation goes with it when its address is another by then. Null where it was
-- accepted before this column was there.
alter table invitations add column accepted_by text;
create index invitations_by_account on invitations (accepted_by) where accepted_by is not null;
