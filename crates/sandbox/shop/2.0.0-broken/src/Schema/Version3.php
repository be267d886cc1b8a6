<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

/** A migration with a mistake: it renames a table that does not exist. */
final class Version3 implements Migration
{
    public function description(): string
    {
        return 'carts';
    }

    public function statements(): array
    {
        return [
            'create table carts (id bigint generated always as identity primary key)',
            'alter table shopping_lists rename to saved_carts',
        ];
    }
}
