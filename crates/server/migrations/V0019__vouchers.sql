-- Administrators on whose word the account is the person's whose address it has: who made it, or answered for its address. Their ids, separated
-- by one space. What was set up in it since may be theirs; null when that is gone. No foreign key: the word outlives its giver.
alter table users add column vouchers text;
