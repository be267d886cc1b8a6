<?php

declare(strict_types=1);

namespace Acme\Shop\Schema;

/** Every column of `orders` has a default, so that `insert into orders default values` places an order. */
final class Version1 implements Migration
{
    public function description(): string
    {
        return 'users, customers, products and orders';
    }

    public function statements(): array
    {
        return [
            'create table oro_user (
                id bigint generated always as identity primary key,
                username varchar(255) not null unique,
                email varchar(255) not null unique,
                password varchar(255) not null,
                role varchar(64) not null default \'ROLE_USER\',
                created_at timestamptz not null default clock_timestamp()
            )',
            'create table customers (
                id bigint generated always as identity primary key,
                name varchar(255) not null default \'Jane Doe\',
                created_at timestamptz not null default clock_timestamp()
            )',
            'create table products (
                id bigint generated always as identity primary key,
                sku varchar(64) not null unique,
                name varchar(255) not null,
                price numeric(12, 2) not null default 0
            )',
            'create table orders (
                id bigint generated always as identity primary key,
                customer varchar(255) not null default \'Jane Doe\',
                total numeric(12, 2) not null default 9.90,
                created_at timestamptz not null default clock_timestamp()
            )',
            'create table message (
                id bigint generated always as identity primary key,
                queue varchar(255) not null,
                body text not null,
                node varchar(64) not null,
                version varchar(64) not null,
                done_at timestamptz not null default clock_timestamp()
            )',
            'create index orders_created_at on orders (created_at)',
        ];
    }
}
