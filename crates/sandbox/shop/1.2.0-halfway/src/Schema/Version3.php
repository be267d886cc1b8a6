<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

final class Version3 implements Migration
{
    public function description(): string
    {
        return 'reviews of orders';
    }

    public function statements(): array
    {
        return ["alter table orders add column review text not null default ''"];
    }
}
